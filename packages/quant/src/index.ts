export { dynamicMap } from './dynamicMap.js';
