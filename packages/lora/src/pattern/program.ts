import type { CharacterTest } from './characters.js';
import type { PatternPlace, Syntax } from './syntax.js';
import { PatternError } from './syntax.js';

/** A step of a program; numbers are the places of others. */
export type PatternInstruction =
  | { readonly type: 'character'; readonly test: CharacterTest }
  | { readonly type: 'place'; readonly place: PatternPlace; readonly ascii: boolean }
  | { readonly type: 'split'; readonly first: number; readonly second: number }
  | { readonly type: 'jump'; readonly to: number }
  | { readonly type: 'save'; readonly slot: number }
  /** Fails where nothing was matched since the slot was saved: a repetition of nothing has no end. */
  | { readonly type: 'progress'; readonly slot: number }
  | { readonly type: 'reference'; readonly index: number; readonly ignoreCase: boolean }
  | { readonly type: 'atomic'; readonly program: PatternProgram }
  | {
      readonly type: 'look';
      readonly program: PatternProgram;
      readonly negative: boolean;
      readonly behind: number | undefined;
    }
  | { readonly type: 'match' };

export interface PatternProgram {
  readonly instructions: readonly PatternInstruction[];
  /** Slots for the beginnings and ends of groups, and of repetitions. */
  readonly slots: number;
  /** What matches depends on what groups have matched: states cannot be told apart by their place alone. */
  readonly hasReferences: boolean;
}

/** Counted repetitions are written out, so a few characters can ask for any size. */
const largestProgram = 20_000;

interface Parts {
  readonly instructions: PatternInstruction[];
  /** Shared by a pattern and those within it. */
  readonly total: { instructions: number; slots: number };
  readonly hasReferences: boolean;
}

/** @throws PatternError for one that is too large */
export function compileProgram(syntax: Syntax): PatternProgram {
  const hasReferences = contains(syntax, 'reference');
  const total = { instructions: 0, slots: 2 * (groupsIn(syntax) + 1) };
  const program = programOf(syntax, { total, hasReferences });
  return { ...program, slots: total.slots };
}

function programOf(syntax: Syntax, { total, hasReferences }: Omit<Parts, 'instructions'>): PatternProgram {
  const parts: Parts = { instructions: [], total, hasReferences };
  emit(parts, syntax);
  push(parts, { type: 'match' });
  return { instructions: parts.instructions, slots: total.slots, hasReferences };
}

function push(parts: Parts, instruction: PatternInstruction): number {
  if (++parts.total.instructions > largestProgram)
    throw new PatternError(`a pattern that is too large: more than ${largestProgram} steps`);
  return parts.instructions.push(instruction) - 1;
}

function emit(parts: Parts, syntax: Syntax): void {
  switch (syntax.type) {
    case 'character':
    case 'place':
    case 'reference':
      push(parts, syntax);
      return;
    case 'sequence':
      for (const item of syntax.items) emit(parts, item);
      return;
    case 'choice':
      emitChoice(parts, syntax.branches);
      return;
    case 'repeat':
      emitRepeat(parts, syntax);
      return;
    case 'group':
      push(parts, { type: 'save', slot: 2 * syntax.index });
      emit(parts, syntax.item);
      push(parts, { type: 'save', slot: 2 * syntax.index + 1 });
      return;
    case 'atomic':
      push(parts, { type: 'atomic', program: programOf(syntax.item, parts) });
      return;
    case 'look': {
      const { negative, behind } = syntax;
      push(parts, { type: 'look', program: programOf(syntax.item, parts), negative, behind });
    }
  }
}

function emitChoice(parts: Parts, branches: readonly Syntax[]): void {
  const { instructions } = parts;
  const ends: number[] = [];
  branches.forEach((branch, at) => {
    if (at === branches.length - 1) return emit(parts, branch);
    const split = push(parts, { type: 'match' });
    emit(parts, branch);
    ends.push(push(parts, { type: 'match' }));
    instructions[split] = { type: 'split', first: split + 1, second: instructions.length };
  });
  for (const end of ends) instructions[end] = { type: 'jump', to: instructions.length };
}

function emitRepeat(parts: Parts, { item, min, max, lazy }: Extract<Syntax, { type: 'repeat' }>): void {
  const { instructions } = parts;
  const split = (inside: number, outside: number): PatternInstruction =>
    lazy ? { type: 'split', first: outside, second: inside } : { type: 'split', first: inside, second: outside };
  for (let count = 0; count < min; count++) emitCounted(parts, item);
  if (max === Infinity) {
    const slot = parts.hasReferences ? parts.total.slots++ : undefined;
    const start = push(parts, { type: 'match' });
    if (slot !== undefined) push(parts, { type: 'save', slot });
    emit(parts, item);
    if (slot !== undefined) push(parts, { type: 'progress', slot });
    push(parts, { type: 'jump', to: start });
    instructions[start] = split(start + 1, instructions.length);
    return;
  }
  const starts: number[] = [];
  for (let count = min; count < max; count++) {
    starts.push(push(parts, { type: 'match' }));
    emitCounted(parts, item);
  }
  for (const start of starts) instructions[start] = split(start + 1, instructions.length);
}

/** One of many repetitions: of an item without any instruction the number would not be bounded. */
function emitCounted(parts: Parts, item: Syntax): void {
  if (++parts.total.instructions > largestProgram)
    throw new PatternError(`a pattern that is too large: more than ${largestProgram} steps`);
  emit(parts, item);
}

function children(syntax: Syntax): readonly Syntax[] {
  if ('item' in syntax) return [syntax.item];
  if (syntax.type === 'sequence') return syntax.items;
  return syntax.type === 'choice' ? syntax.branches : [];
}

function contains(syntax: Syntax, type: Syntax['type']): boolean {
  return syntax.type === type || children(syntax).some((child) => contains(child, type));
}

function groupsIn(syntax: Syntax): number {
  const below = Math.max(0, ...children(syntax).map(groupsIn));
  return syntax.type === 'group' ? Math.max(syntax.index, below) : below;
}
