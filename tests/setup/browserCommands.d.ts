import 'vitest/browser';

declare module 'vitest/browser' {
  interface BrowserCommands {
    /** `lowrank train` in Node; see trainInNode.mjs. */
    trainInNode(
      device: 'cpu' | 'webgpu',
      args: readonly string[],
    ): Promise<{ steps: { step: number; loss: number; grad_norm: number }[]; result: object }>;
  }
}
