import type { ModelFiles } from '@lowrank/models';
import { openWeights } from '@lowrank/models';
import type { BaseTensorInfo } from '@lowrank/gguf';

/** The files of a GGUF model as if its matrices were stored as the numbers that their codes stand for. */
export function withoutCodes(files: ModelFiles): ModelFiles {
  return {
    ...files,
    async weights() {
      const weights = await openWeights(files);
      const tensors = [...weights.tensors].map(([name, info]) => {
        const { codes: _, ...dense }: BaseTensorInfo = info;
        return [name, dense] as const;
      });
      return { ...weights, tensors: new Map(tensors) };
    },
  };
}
