import { LowrankError } from '@lowrank/errors';
import type { StopStrings } from './stopStrings.js';
import { stopStrings } from './stopStrings.js';

/** Token ids, at least one. */
export type Prompt = readonly number[];

/** Text of the tokens that follow a prompt, as they come: a `TextStream` of @lowrank/data is one. */
export interface TokenText {
  /** The text that is sure by now: half a character waits for its other half. */
  push(id: number): string;
  /** What is left. */
  end(): string;
}

/** What ends a generated text. */
export interface TextEndOptions {
  /** Tokens that end a text and are not part of it. */
  readonly stopIds?: readonly number[];
  /** Strings that end a text: it is cut exactly before them, wherever the borders of tokens lie. Needs `text`. */
  readonly stopStrings?: readonly string[];
  /** Makes the decoder of each prompt's text. Without it there is no text. */
  readonly text?: (prompt: Prompt, at: number) => TokenText;
  /** Sees each token as it is made. */
  readonly onToken?: (id: number, prompt: number) => void;
  /** Sees each piece of text as it is sure: never half a character, and nothing of a stop string. */
  readonly onText?: (piece: string, prompt: number) => void;
}

/** A token of `stopIds`, a stop string, `maxNewTokens`, or the abort signal. */
export type EndReason = 'token' | 'string' | 'length' | 'signal';

/** A text that was generated, and what ended it. */
export interface GeneratedText {
  /** New tokens; where a stop string ended the text, up to the one that completed it. */
  readonly ids: readonly number[];
  /** Empty without the option `text`. */
  readonly text: string;
  /** What ended it: a token of `stopIds`, a stop string, `maxNewTokens`, or the signal. */
  readonly endedBy: EndReason;
}

interface Row {
  readonly ids: number[];
  readonly decoder: TokenText | undefined;
  readonly stop: StopStrings;
  text: string;
  endedBy: EndReason | undefined;
}

/** The texts of one request while they grow, and what ends each. */
export class TextEnds {
  private readonly rows: readonly Row[];

  constructor(
    prompts: readonly Prompt[],
    private readonly options: TextEndOptions,
  ) {
    const { text, stopStrings: stops = [] } = options;
    if (stops.length > 0 && (text === undefined || stops.includes(''))) {
      throw new LowrankError({
        code: 'models.generate',
        what: 'the generation setting stopStrings',
        expected: 'strings of at least one character, and the option text, which decodes tokens',
        got: text === undefined ? 'no option text' : 'an empty string',
      });
    }
    this.rows = prompts.map((prompt, at) => ({
      ids: [],
      decoder: text?.(prompt, at),
      stop: stopStrings(stops),
      text: '',
      endedBy: undefined,
    }));
  }

  /** Whether any text goes on. */
  get open(): boolean {
    return this.rows.some(({ endedBy }) => endedBy === undefined);
  }

  get ids(): readonly (readonly number[])[] {
    return this.rows.map(({ ids }) => ids);
  }

  /** One token for each row; those of ended rows do not count. */
  push(tokens: ArrayLike<number>): void {
    const { stopIds = [], onToken } = this.options;
    this.rows.forEach((row, at) => {
      const id = tokens[at];
      if (row.endedBy !== undefined || id === undefined) return;
      if (stopIds.includes(id)) return this.finish(row, at, 'token');
      row.ids.push(id);
      onToken?.(id, at);
      if (row.decoder === undefined) return;
      const { text, stopped } = row.stop.push(row.decoder.push(id));
      this.give(row, at, text);
      if (stopped) row.endedBy = 'string';
    });
  }

  /** Ends what is still open. */
  end(reason: EndReason): GeneratedText[] {
    return this.rows.map((row, at) => {
      if (row.endedBy === undefined) this.finish(row, at, reason);
      return { ids: row.ids, text: row.text, endedBy: row.endedBy ?? reason };
    });
  }

  private finish(row: Row, at: number, reason: EndReason): void {
    const { text, stopped } = row.stop.push(row.decoder?.end() ?? '');
    row.endedBy = stopped ? 'string' : reason;
    this.give(row, at, stopped ? text : text + row.stop.end());
  }

  private give(row: Row, at: number, piece: string): void {
    if (piece === '') return;
    row.text += piece;
    this.options.onText?.(piece, at);
  }
}
