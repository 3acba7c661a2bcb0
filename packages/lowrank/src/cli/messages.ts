/** What the work thread is started with. */
export interface Work {
  readonly lowrank: 'work';
  readonly argv: readonly string[];
  /** Of stderr: whether it is a terminal, and how wide. */
  readonly isTTY: boolean;
  readonly columns: number | undefined;
}

/** Whether this thread was started to work. */
export function isWork(data: unknown): data is Work {
  return typeof data === 'object' && data !== null && 'lowrank' in data && data.lowrank === 'work';
}

/** From the work to the main thread. */
export type FromWork =
  | { readonly type: 'stdout' | 'stderr'; readonly text: string }
  /** From now on a signal is for the command; `notice` is what the reader is told at once. */
  | { readonly type: 'listen'; readonly id: number; readonly notice: string }
  | { readonly type: 'release'; readonly id: number }
  /** Asks for the next line of the input; on a terminal after `prompt`. */
  | { readonly type: 'read'; readonly prompt: string }
  | { readonly type: 'closeInput' }
  | { readonly type: 'done'; readonly code: number };

/** From the main thread to the work. */
export type ToWork =
  | { readonly type: 'interrupt' }
  /** The line that was asked for; undefined at the end of the input. */
  | { readonly type: 'line'; readonly line: string | undefined }
  | { readonly type: 'columns'; readonly columns: number };
