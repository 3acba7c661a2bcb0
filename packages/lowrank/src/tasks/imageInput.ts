import { ImageProcessor } from '@lowrank/data';
import type { ModelFiles, TaskModel } from '@lowrank/models';
import { readJson } from '@lowrank/models';
import type { ImageInput } from './task.js';

/** The shape of a model that reads images (models' VisionConfig). */
interface ImageShape {
  readonly channels: number;
  readonly patchSize: readonly [height: number, width: number];
  readonly hasClassToken: boolean;
}

/**
 * How the images of a model are prepared, by the `preprocessor_config.json` of its folder; undefined for a model that
 * reads texts.
 *
 * @throws LowrankError `models.noFile` for a folder without it, `images.config`
 */
export async function imageInput(module: TaskModel, files: ModelFiles | undefined): Promise<ImageInput | undefined> {
  if (module.head.reads !== 'images' || files === undefined) return undefined;
  const { channels, patchSize, hasClassToken } = module.shape as unknown as ImageShape;
  const name = 'preprocessor_config.json';
  const processor = new ImageProcessor(await readJson(files, name), channels, `${files.name}/${name}`);
  const patches = (side: number, patch: number): number => Math.floor(side / patch);
  return {
    processor,
    positionsOf: ({ height, width }) =>
      patches(height, patchSize[0]) * patches(width, patchSize[1]) + (hasClassToken ? 1 : 0),
  };
}
