/** A text that arrives in pieces, to be read once: piece by piece with `for await`, or as a whole. */
export interface TextPieces extends AsyncIterable<string> {
  /** The whole text. */
  text(): Promise<string>;
}

/** Hands pieces on as they are made; `signal` is aborted when the reader leaves the loop early. */
export type PieceWriter = (push: (piece: string) => void, signal: AbortSignal) => Promise<void>;

/**
 * Starts to write when the first piece is asked for. A reader who stops reading ends the writing; a failure reaches
 * the reader after the pieces that came before it.
 */
export function textPieces(write: PieceWriter): TextPieces {
  const pieces = iterate(write);
  return {
    [Symbol.asyncIterator]: () => pieces,
    async text() {
      let whole = '';
      for await (const piece of pieces) whole += piece;
      return whole;
    },
  };
}

async function* iterate(write: PieceWriter): AsyncGenerator<string, void, undefined> {
  const controller = new AbortController();
  const waiting: string[] = [];
  let wake = (): void => undefined;
  let done = false;
  const writing = write((piece) => {
    waiting.push(piece);
    wake();
  }, controller.signal).finally(() => {
    done = true;
    wake();
  });
  // The reader awaits it at the end; until then a failure is not unhandled.
  writing.catch(() => undefined);
  try {
    for (;;) {
      const piece = waiting.shift();
      if (piece !== undefined) yield piece;
      else if (done) break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    await writing;
  } finally {
    controller.abort();
    await writing.catch(() => undefined);
  }
}
