import { expect, test } from 'vitest';
import { coalesced, EventCredit, mostUnanswered } from './backPressure.js';

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test('events go out at once until a reader is too far behind; none is lost', async () => {
  const credit = new EventCredit(async (until) => void (await until));
  const seen: number[] = [];
  const answers: (() => void)[] = [];
  const listener = (event: number): Promise<void> => {
    seen.push(event);
    return new Promise((resolve) => answers.push(resolve));
  };
  let made = 0;
  const making = (async () => {
    for (let event = 0; event < 100; event++) {
      await credit.send(listener, event);
      made++;
    }
    await credit.settle();
  })();
  await soon();
  expect([seen.length, made]).toEqual([mostUnanswered, mostUnanswered - 1]);
  answers.shift()?.();
  await soon();
  expect([seen.length, made]).toEqual([mostUnanswered + 1, mostUnanswered]);
  const answering = setInterval(() => answers.splice(0).forEach((answer) => answer()), 1);
  await making;
  clearInterval(answering);
  expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at));
});

test('what a listener throws reaches the next sender, or the end', async () => {
  const failing = (): Promise<never> => Promise.reject(new Error('full'));
  const credit = new EventCredit(async (until) => void (await until));
  await credit.send(failing, 1);
  await soon();
  await expect(credit.send(failing, 2)).rejects.toThrow('full');
  const last = new EventCredit(async (until) => void (await until));
  await last.send(failing, 1);
  await expect(last.settle()).rejects.toThrow('full');
});

test('what comes while one is on its way becomes one', async () => {
  const seen: string[] = [];
  const answers: (() => void)[] = [];
  const listener = (text: string): Promise<void> => {
    seen.push(text);
    return new Promise((resolve) => answers.push(resolve));
  };
  const text = coalesced(listener, (earlier, later) => earlier + later);
  for (const piece of ['a', 'b', 'c']) text.send(piece);
  answers.shift()?.();
  await soon();
  expect(seen).toEqual(['a', 'bc']);
  text.send('d');
  const settled = text.settle();
  answers.shift()?.();
  await soon();
  answers.shift()?.();
  await settled;
  expect(seen.join('')).toBe('abcd');
});
