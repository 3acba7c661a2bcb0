import 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The folder whose node_modules holds the bundlers. */
    readonly tools: string;
    /** An empty project within it, with the packed packages installed. */
    readonly project: string;
  }
}
