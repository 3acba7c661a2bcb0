import { LowrankError } from '@lowrank/errors';
import type { TextMetric } from './textMetric.js';

/**
 * 1 where a text is the same WikiSQL query as a reference: the same column and aggregate, and the same set of
 * conditions, letters of either case (logical-form accuracy; Zhong, Xiong, Socher, "Seq2SQL", 2017). The table is given
 * with the question and is not compared, as there.
 */
export const logicalForm: TextMetric = {
  score(text, references) {
    const written = parseQuery(text);
    const wanted = references.map((reference) => parseQuery(reference) ?? noQuery(reference));
    return written !== undefined && wanted.includes(written) ? 1 : 0;
  },
};

const aggregates = ['MAX', 'MIN', 'COUNT', 'SUM', 'AVG'];
const query = new RegExp(`^SELECT (?:(${aggregates.join('|')}) )?(.+?) FROM (\\S.*?)(?: WHERE (.+))?$`, 'i');
const condition = /^(.+?) ([=<>]) ('.*'|[^' ].*)$/;

/**
 * `SELECT [aggregate] column FROM table [WHERE column op value AND …]`, as one string that equal queries share;
 * undefined for anything else. Columns are any text; values are numbers, words, or stand in single quotes, and may have
 * `AND` in them.
 */
export function parseQuery(text: string): string | undefined {
  const found = query.exec(text.trim().replace(/\s+/g, ' ').toLowerCase());
  if (found === null) return undefined;
  const [, aggregate = '', column = '', , where] = found;
  const conditions = where === undefined ? [] : parseConditions(where);
  return conditions === undefined ? undefined : JSON.stringify([aggregate, column, [...new Set(conditions)].sort()]);
}

function parseConditions(where: string): string[] | undefined {
  const conditions: string[] = [];
  let text = '';
  for (const piece of where.split(' and ')) {
    text = text === '' ? piece : `${text} and ${piece}`;
    const found = condition.exec(text);
    if (found === null) continue;
    const [, column = '', operator = '', value = ''] = found;
    conditions.push(JSON.stringify([column, operator, value.startsWith("'") ? value.slice(1, -1).trim() : value]));
    text = '';
  }
  return text === '' ? conditions : undefined;
}

function noQuery(reference: string): never {
  throw new LowrankError({
    code: 'metrics.logicalForm',
    what: 'a reference of the metric logical-form',
    expected: 'SELECT [aggregate] column FROM table [WHERE column = value AND …]',
    got: JSON.stringify(reference.length > 80 ? `${reference.slice(0, 77)}...` : reference),
    remedy: 'Choose a metric that fits the data: rouge-l or exact-match.',
  });
}
