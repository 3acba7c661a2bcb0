/** How long a server may take, in milliseconds. */
export interface TransferTiming {
  /** Until an answer begins. Default 10 s, as in huggingface_hub. */
  readonly answer: number;
  /** Between two signs of life (1 KiB) of a body. Default 10 s, as in huggingface_hub. */
  readonly stall: number;
  /** For all requests of a hub's listing together, waits included. Default 120 s. */
  readonly listing: number;
  /** For all tries of a download that bring nothing new, waits that the server asked for not counted. Default 40 s. */
  readonly withoutProgress: number;
  /** The longest wait that a server may ask for (`Retry-After`). Default 60 s; one that asks for more is given up. */
  readonly retryAfter: number;
}

export const defaultTiming: TransferTiming = {
  answer: 10_000,
  stall: 10_000,
  listing: 120_000,
  withoutProgress: 40_000,
  retryAfter: 60_000,
};
