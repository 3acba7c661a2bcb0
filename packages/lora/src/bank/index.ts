export { LoraBankEmbedding } from './embedding.js';
export { bankEntry, bankRank, fitsBank } from './entry.js';
export type { BankEntry, EntryOptions } from './entry.js';
export { LoraBankLayer } from './layer.js';
export type { BankAbilities } from './layer.js';
export { LoraBankLinear } from './linear.js';
export { BankMix } from './mix.js';
export type { BankSizes } from './mix.js';
