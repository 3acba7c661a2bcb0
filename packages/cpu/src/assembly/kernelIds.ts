/** Numbers of the kernels in a plan's records: the one file that both the compiled kernels and TypeScript read. */
export enum Kernel {
  packB,
  gemm,
}
