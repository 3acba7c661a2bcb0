import { classTest, sameLetter } from './characters.js';
import type { PatternInstruction, PatternProgram } from './program.js';
import type { PatternPlace } from './syntax.js';
import { PatternError } from './syntax.js';

/** Steps of one match: what takes more is refused, so that no pattern holds a program up. */
const mostSteps = 2_000_000;

/** Where a match ends, and where its groups begin and end. */
export interface PatternMatch {
  readonly end: number;
  readonly slots: readonly (number | undefined)[];
}

interface State {
  readonly at: number;
  readonly position: number;
  readonly slots: readonly (number | undefined)[];
}

/** One text that patterns are matched with, by code points. */
export class PatternSubject {
  private steps = 0;

  constructor(private readonly text: readonly number[]) {}

  /**
   * The first match in the order in which Python tries them. Without references to groups no state is entered twice, so
   * a match takes time in the product of the lengths of pattern and text; looks around count for themselves.
   *
   * @param full only one that ends with the text
   * @throws PatternError where it takes too long
   */
  match(
    program: PatternProgram,
    start: number,
    { full, slots = [] }: { full: boolean; slots?: State['slots'] },
  ): PatternMatch | undefined {
    const { instructions, hasReferences } = program;
    const width = this.text.length + 1;
    if (instructions.length * width > 64 * mostSteps) throw tooLong();
    const seen = hasReferences ? undefined : new Uint8Array(Math.ceil((instructions.length * width) / 8));
    const stack: State[] = [{ at: 0, position: start, slots }];
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      if (++this.steps > mostSteps) throw tooLong();
      const { at, position } = state;
      if (seen !== undefined) {
        const bit = at * width + position;
        const mask = 1 << (bit & 7);
        if (((seen[bit >> 3] ?? 0) & mask) !== 0) continue;
        seen[bit >> 3] = (seen[bit >> 3] ?? 0) | mask;
      }
      const instruction = instructions[at];
      if (instruction === undefined) continue;
      if (instruction.type === 'match') {
        if (!full || position === this.text.length) return { end: position, slots: state.slots };
        continue;
      }
      for (const next of this.step(instruction, state)) stack.push(next);
    }
    return undefined;
  }

  /** The states that follow, the one to be tried first last. */
  private step(instruction: Exclude<PatternInstruction, { type: 'match' }>, state: State): State[] {
    const { at, position, slots } = state;
    const on = (to = position, changed = slots): State[] => [{ at: at + 1, position: to, slots: changed }];
    switch (instruction.type) {
      case 'character': {
        const code = this.text[position];
        return code !== undefined && instruction.test(code) ? on(position + 1) : [];
      }
      case 'place':
        return this.isAt(instruction.place, position, instruction.ascii) ? on() : [];
      case 'split':
        return [
          { ...state, at: instruction.second },
          { ...state, at: instruction.first },
        ];
      case 'jump':
        return [{ ...state, at: instruction.to }];
      case 'save': {
        const changed = [...slots];
        changed[instruction.slot] = position;
        return on(position, changed);
      }
      case 'progress':
        return slots[instruction.slot] === position ? [] : on();
      case 'reference': {
        const end = this.repeated(instruction, position, slots);
        return end === undefined ? [] : on(end);
      }
      case 'atomic': {
        const match = this.match(instruction.program, position, { full: false, slots });
        return match === undefined ? [] : on(match.end, match.slots);
      }
      case 'look': {
        const start = position - (instruction.behind ?? 0);
        const match = start < 0 ? undefined : this.match(instruction.program, start, { full: false, slots });
        if ((match === undefined) !== instruction.negative) return [];
        return on(position, match?.slots ?? slots);
      }
    }
  }

  /** Where what a group has matched ends, said again at `position`. */
  private repeated(
    { index, ignoreCase }: { index: number; ignoreCase: boolean },
    position: number,
    slots: State['slots'],
  ): number | undefined {
    const [start, end] = [slots[2 * index], slots[2 * index + 1]];
    if (start === undefined || end === undefined) return undefined;
    for (let offset = 0; offset < end - start; offset++) {
      const [wanted, found] = [this.text[start + offset] ?? NaN, this.text[position + offset] ?? NaN];
      if (++this.steps > mostSteps) throw tooLong();
      if (ignoreCase && Number.isFinite(found) ? !sameLetter(wanted, found) : wanted !== found) return undefined;
    }
    return position + end - start;
  }

  private isAt(place: PatternPlace, position: number, ascii: boolean): boolean {
    const { text } = this;
    const { length } = text;
    const isWord = (at: number): boolean => {
      const code = text[at];
      return code !== undefined && classTest('w', ascii)(code);
    };
    switch (place) {
      case 'start':
        return position === 0;
      case 'lineStart':
        return position === 0 || text[position - 1] === 10;
      case 'end':
        return position === length;
      case 'lineEnd':
        return position === length || text[position] === 10;
      case 'lastLine':
        return position === length || (position === length - 1 && text[position] === 10);
      case 'wordEdge':
        return isWord(position - 1) !== isWord(position);
      case 'noWordEdge':
        // In Python the empty text has neither.
        return length > 0 && isWord(position - 1) === isWord(position);
    }
  }
}

function tooLong(): PatternError {
  return new PatternError('a match that takes too long');
}
