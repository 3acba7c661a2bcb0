export { foldSubspace, injectSubspace, projections, removeSubspace } from './subspace.js';
export type { ProjectionName, Subspace, SubspaceOptions, SubspaceSettings } from './subspace.js';
export { extractSubspace, isSubspaceConfig, loadSubspace, readSubspace, serializeSubspace, subspaceType } from './subspaceFiles.js';
export type { StoredSubspace } from './subspaceFiles.js';
