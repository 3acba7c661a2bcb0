export { dynamicMap } from '@lowrank/tensor';
