export type { SafeNameOptions } from '../safeName.js';
export { safeName } from '../safeName.js';
