import 'vitest/browser';

declare module 'vitest/browser' {
  interface BrowserCommands {
    /** `lowrank train` in Node, on the CPU; see trainInNode.mjs. */
    trainInNode(args: readonly string[]): Promise<{ steps: { step: number; loss: number; grad_norm: number }[]; result: object }>;
  }
}
