export type { ByteSource } from './byteSource.js';
export { blobSource, bytesSource, checkRange } from './byteSource.js';
export type { SafetensorsDtype } from './dtype.js';
export { dtypeBytes, isSafetensorsDtype, safetensorsDtypes } from './dtype.js';
export { fileSource } from './fileSource.js';
export type { TensorInfo } from './header.js';
export type { SafetensorsFile } from './open.js';
export { isLfsPointer, lfsPointer, openSafetensors, tensorNamed } from './open.js';
export type { ShardedOptions } from './sharded.js';
export { openSharded } from './sharded.js';
export type { Pause } from './retry.js';
export { backoff, isBusy, isHopeless, retryAfter, statusOf, WaitFirst, waiting } from './retry.js';
export type { UrlSourceOptions } from './urlSource.js';
export { urlSource } from './urlSource.js';
export type { PatienceOptions, WebAddress } from './web.js';
export {
  bodyWithin,
  chunksOf,
  contentLength,
  contentRange,
  isEncoded,
  isPageType,
  isWebPage,
  networkReason,
  Patience,
  webAddress,
  withoutSecrets,
} from './web.js';
export type { TensorData, TensorEntry } from './write.js';
export { safetensorsBytes, serializeSafetensors, writeSafetensors } from './write.js';
export type { FileContent } from '@lowrank/files';
