import { describe, expect, it } from 'vitest';
import { logicalForm, parseQuery } from './logicalForm.js';

const same = (text: string, reference: string): number => logicalForm.score(text, [reference]);

describe('logicalForm', () => {
  const reference = "SELECT COUNT Singles W-L FROM 1-10023387-1 WHERE Doubles W-L = '0–0' AND Total W-L = '3–1'";

  it('takes conditions in any order, either case and any white space', () => {
    expect(
      same(" select count singles w-l\nfrom 1-10023387-1 where total w-l = '3–1'  AND doubles w-l = '0–0'", reference),
    ).toBe(1);
    expect(same(reference, reference)).toBe(1);
  });

  it('wants the same column, aggregate, operator, value and number of conditions', () => {
    const others = [
      reference.replace('COUNT', 'MAX'),
      reference.replace('COUNT ', ''),
      reference.replace('Singles', 'Doubles'),
      reference.replace("= '3–1'", "> '3–1'"),
      reference.replace('3–1', '3–2'),
      reference.replace(/ AND .*/, ''),
      `${reference} AND Player = 'x'`,
      reference.replace(/ WHERE .*/, ''),
      'SELECT',
      '',
    ];
    expect(others.map((other) => same(other, reference))).toEqual(others.map(() => 0));
  });

  it('does not compare the table', () => {
    expect(same(reference.replace('1-10023387-1', '2-1'), reference)).toBe(1);
  });

  it('reads values with AND, apostrophes and operators, and numbers with or without quotes', () => {
    expect(parseQuery("SELECT a FROM t WHERE Label = 'Arts AND Crafts' AND b = 'O'Brien = 3'")).toBe(
      JSON.stringify(['', 'a', ['["b","=","o\'brien = 3"]', '["label","=","arts and crafts"]']]),
    );
    expect(same('SELECT a FROM t WHERE n = 12', "SELECT a FROM t WHERE n = '12'")).toBe(1);
    expect(same('SELECT a FROM t WHERE n > 64379058.0', 'SELECT a FROM t WHERE n > 64379058.0')).toBe(1);
  });

  it('is any of the references, and refuses those that are no query', () => {
    expect(logicalForm.score(reference, ['SELECT x FROM t', reference])).toBe(1);
    expect(() => same(reference, 'a coffee shop')).toThrow(/logical-form.*expected SELECT.*coffee shop/);
  });
});
