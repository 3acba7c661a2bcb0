/** A compiled module that imports a shared memory, and the index of the byte that says so (3 shared, 1 not). */
export interface Compiled {
  readonly base64: string;
  readonly memoryFlag: number;
}
