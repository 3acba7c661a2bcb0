export { dynamicMap } from './dynamicMap.js';
export { QuantizedLinear } from './quantizedLinear.js';
