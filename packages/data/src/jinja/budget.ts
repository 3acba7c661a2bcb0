import { TemplateError } from './values.js';

/** A width, 0 where it is negative, as in Python. @throws TemplateError for one that no text of a chat is padded to */
export function checkedWidth(width: number): number {
  if (width > 10_000) throw new TemplateError(`a width of ${width} is more than any chat needs`);
  return Math.max(0, width);
}

/** Steps and characters of output that a template may take: without end is no template. */
export class Budget {
  #steps: number;
  #output: number;

  constructor({ steps, output }: { readonly steps: number; readonly output: number }) {
    this.#steps = steps;
    this.#output = output;
  }

  spend(steps = 1): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new TemplateError('the template takes more steps than any chat needs');
  }

  write(characters: number): void {
    this.#output -= characters;
    if (!(this.#output >= 0)) throw new TemplateError('the template writes more text than any chat needs');
  }
}
