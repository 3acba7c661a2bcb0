import { strftime } from '../chatDate.js';
import { Scope } from './evaluator.js';
import { parseTemplate } from './parser.js';
import type { Generated } from './renderer.js';
import { globals, Renderer } from './renderer.js';
import type { Statement } from './syntax.js';
import { Callable, TemplateError, toValue, Undefined } from './values.js';

/** What a template itself refused, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/**
 * A chat template as transformers runs it: jinja2 3.1's immutable sandbox with `trim_blocks`, `lstrip_blocks`, loop
 * controls, `{% generation %}`, and its own `tojson`. What is not known here is refused by its name.
 */
export class Template {
  readonly #body: readonly Statement[];

  /** @throws TemplateSyntaxError */
  constructor(source: string) {
    this.#body = parseTemplate(source);
  }

  /** @throws TemplateRefusal, TemplateError */
  render(variables: Readonly<Record<string, unknown>>, now: Date): { text: string; generated: readonly Generated[] } {
    const scope = new Scope();
    for (const [name, value] of globals()) scope.values.set(name, value);
    scope.values.set(
      'raise_exception',
      new Callable('raise_exception', ({ positional, named }) => {
        const message = positional[0] ?? named.get('message') ?? null;
        throw new TemplateRefusal(typeof message === 'string' ? message : renderedMessage(message));
      }),
    );
    scope.values.set(
      'strftime_now',
      new Callable('strftime_now', ({ positional, named }) => {
        const format = positional[0] ?? named.get('format') ?? null;
        if (typeof format !== 'string') throw new TemplateError('strftime_now wants a format');
        return strftime(now, format);
      }),
    );
    for (const name of ['lipsum', 'cycler', 'joiner'])
      scope.values.set(name, new Undefined(`${name} is not known here`));
    let size = 0;
    const measure = (key: string, value: unknown): unknown => {
      size += key.length + (typeof value === 'string' ? value.length : 8);
      return value;
    };
    JSON.stringify(variables, measure);
    const top = new Scope(scope);
    for (const [name, value] of Object.entries(variables))
      if (value !== undefined) top.values.set(name, toValue(value));
    const renderer = new Renderer(size);
    const text = renderer.render(this.#body, top);
    return { text, generated: renderer.generated };
  }
}

function renderedMessage(message: unknown): string {
  return message === null ? 'None' : String(message instanceof Undefined ? '' : message);
}
