import { blocks, runBlocks, wantsGpu } from './blocks';

runBlocks(blocks.filter(wantsGpu), 'webgpu');
