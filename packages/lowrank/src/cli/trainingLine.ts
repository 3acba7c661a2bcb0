import { duration } from './duration.js';

/** What the line of a training shows. */
export interface TrainingState {
  readonly step: number;
  readonly steps: number;
  /** Smoothed. */
  readonly loss: number | undefined;
  readonly tokensPerSecond: number | undefined;
  /** Bytes that the device holds for it. */
  readonly memory: number | undefined;
  readonly secondsLeft: number | undefined;
  /** The loss of the last evaluation. */
  readonly evaluation: number | undefined;
}

export interface LineStyle {
  readonly colour: boolean;
  readonly columns: number;
}

const barWidth = 20;

/**
 * `━━━━━━━━━━────────── 120/240  loss 1.2345  812 tokens/s  1.2 GB  3 min 4 s left  evaluation 1.3012`, without the
 * last parts where the terminal is too narrow for them.
 */
export function trainingLine(state: TrainingState, { colour, columns }: LineStyle): string {
  const { step, steps, loss, tokensPerSecond, memory, secondsLeft, evaluation } = state;
  const filled = Math.round((barWidth * Math.min(step, steps)) / Math.max(1, steps));
  const paint = colour ? painted : plain;
  const parts: Painted[] = [
    [paint.done('━'.repeat(filled)) + paint.faint('─'.repeat(barWidth - filled)), barWidth],
    textPart(`${step}/${steps}`),
    ...part(loss, (value) => [`${paint.faint('loss')} ${value.toFixed(4)}`, `loss ${value.toFixed(4)}`.length]),
    ...part(tokensPerSecond, (value) => textPart(`${rate(value)} tokens/s`)),
    ...part(memory, (value) => textPart(bytes(value))),
    ...part(secondsLeft, (value) => textPart(`${duration(value * 1000)} left`)),
    ...part(evaluation, (value) => {
      const text = `evaluation ${value.toFixed(4)}`;
      return [paint.told(text), text.length];
    }),
  ];
  let length = -2;
  return parts
    .filter(([, width]) => (length += width + 2) < columns)
    .map(([text]) => text)
    .join('  ');
}

/** A text and the columns that it takes. */
type Painted = readonly [text: string, width: number];

const textPart = (text: string): Painted => [text, text.length];

function part(value: number | undefined, make: (value: number) => Painted): Painted[] {
  return value === undefined ? [] : [make(value)];
}

const painted = {
  done: (text: string): string => `\u001b[32m${text}\u001b[39m`,
  faint: (text: string): string => `\u001b[2m${text}\u001b[22m`,
  told: (text: string): string => `\u001b[36m${text}\u001b[39m`,
};
const plain = { done: String, faint: String, told: String };

export function rate(tokensPerSecond: number): string {
  return tokensPerSecond >= 100 ? Math.round(tokensPerSecond).toLocaleString('en') : tokensPerSecond.toPrecision(2);
}

/** Decimal, as memory is sold. */
function bytes(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} GB` : `${Math.round(count / 1e6)} MB`;
}

/** Whether a terminal wants colour: https://no-color.org. */
export function wantsColour(environment: Readonly<Record<string, string | undefined>>): boolean {
  const { NO_COLOR: noColour = '', TERM: terminal } = environment;
  return noColour === '' && terminal !== 'dumb';
}
