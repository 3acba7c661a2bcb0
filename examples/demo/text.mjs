/**
 * The text that the demo's base model is pre-trained on: short stories about people, things and cities,
 * drawn from a grammar by seeded dice. Every story says the same facts several times in other words, so that a
 * model learns to find and to repeat who, what, how many, which colour and where. No story writes a record of keys and
 * values: that form is what the fine-tuning teaches.
 */
import { cities, colors, days, inventCity, inventName, items, makeDice, men, moods, numbers, women } from './words.mjs';

/**
 * @typedef {{ who: string, she: string, item: { one: string, many: string }, color: string, count: number, city: string
 * }} Fact
 */

/** @returns {Fact} a fact about a person's things; `invented` is the chance that a name is made up on the spot */
export function drawFact(dice, invented = 0.4) {
  const female = dice.chance(0.5);
  return {
    who: dice.chance(invented) ? inventName(dice) : dice.pick(female ? women : men),
    she: female ? 'she' : 'he',
    item: dice.pick(items),
    color: dice.pick(colors),
    count: dice.between(1, 12),
    city: dice.chance(invented) ? inventCity(dice) : dice.pick(cities),
  };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const isVowel = (word) => /^[aeiou]/.test(word);
const named = (fact) => (fact.count === 1 ? fact.item.one : fact.item.many);
const are = (fact) => (fact.count === 1 ? 'is' : 'are');
const they = (fact) => (fact.count === 1 ? 'it' : 'they');
const belong = (fact) => (fact.count === 1 ? 'belongs' : 'belong');

function counted(dice, count, next) {
  if (count === 1 && dice.chance(0.4)) return isVowel(next) ? 'an' : 'a';
  return dice.chance(0.3) ? String(count) : numbers[count];
}
/** "three red apples", "3 red apples", "a red apple" */
const phrase = (dice, fact) => `${counted(dice, fact.count, fact.color)} ${fact.color} ${named(fact)}`;

/** Each way to say a whole fact in one sentence. The task's inputs are such sentences. */
export const tellings = [
  (dice, f) => `${f.who} has ${phrase(dice, f)} in ${f.city}.`,
  (dice, f) => `In ${f.city}, ${f.who} has ${phrase(dice, f)}.`,
  (dice, f) => `${f.who} from ${f.city} buys ${phrase(dice, f)}.`,
  (dice, f) => `${f.who} brings ${phrase(dice, f)} to ${f.city}.`,
  (dice, f) => `There ${are(f)} ${phrase(dice, f)} in ${f.city}, and ${they(f)} ${belong(f)} to ${f.who}.`,
  (dice, f) => `${capital(phrase(dice, f))} ${f.count === 1 ? 'waits' : 'wait'} for ${f.who} in ${f.city}.`,
  (dice, f) => `On ${dice.pick(days)} ${f.who} finds ${phrase(dice, f)} in a street of ${f.city}.`,
  (dice, f) => `${f.who} sells ${phrase(dice, f)} in ${f.city} on ${dice.pick(days)}.`,
];
export const tell = (dice, fact) => dice.pick(tellings)(dice, fact);

/** Ways to say the color again; each restating has at least one. */
const colorEchoes = [
  (_, f) => `The ${named(f)} ${are(f)} ${f.color}.`,
  (_, f) => `Each ${f.item.one} is ${f.color}.`,
  (_, f) => `The color of the ${f.item.one} is ${f.color}.`,
  (_, f) => `${f.who} looks at the ${f.color} ${named(f)} in ${f.city}.`,
  (_, f) => `Who likes ${f.color} ${f.item.many}? It is ${f.who}.`,
  (_, f) => `${capital(f.color)}, ${f.color}: that is the color of the ${named(f)}.`,
  (dice, f) => `${f.who} is ${dice.pick(moods)} about the ${f.color} ${f.item.one}.`,
];
/** Ways to say another part of a fact again. */
const otherEchoes = [
  (_, f) => `The owner of the ${named(f)} is ${f.who}.`,
  (_, f) => `The ${named(f)} ${belong(f)} to ${f.who}.`,
  (_, f) => `Now the ${named(f)} ${are(f)} in ${f.city}.`,
  (_, f) => `All of this happens in ${f.city}.`,
  (_, f) => `Ask ${f.who} in the city of ${f.city}.`,
  (_, f) => `The city is ${f.city}.`,
  (_, f) => `Each item is ${isVowel(f.item.one) ? 'an' : 'a'} ${f.item.one}.`,
  (_, f) => `The number of ${f.item.many} is ${f.count}.`,
  (_, f) => `The ${f.item.one} count is ${f.count}: ${numbers[f.count]}.`,
  (_, f) => `${f.who} counts to ${numbers[f.count]}.`,
  (_, f) => `Count the ${f.item.many}: ${f.count}.`,
];
const echoes = [...colorEchoes, ...otherEchoes];

function restated(dice) {
  const fact = drawFact(dice);
  const again = [
    ...dice.shuffle(colorEchoes).slice(0, dice.between(1, 2)),
    ...dice.shuffle(otherEchoes).slice(0, dice.between(2, 4)),
  ];
  return [tell(dice, fact), ...dice.shuffle(again).map((echo) => echo(dice, fact))].join(' ');
}

function twoPeople(dice) {
  const first = drawFact(dice);
  let second = drawFact(dice);
  while (second.item === first.item || second.who === first.who || second.color === first.color)
    second = drawFact(dice);
  const [asked, other] = dice.chance(0.5) ? [first, second] : [second, first];
  return [
    tell(dice, first),
    tell(dice, second),
    `The ${named(asked)} ${belong(asked)} to ${asked.who}, not to ${other.who}.`,
    `The ${named(asked)} ${are(asked)} ${asked.color}, and the ${named(other)} ${are(other)} ${other.color}.`,
    `${other.who} is in ${other.city}, and ${asked.who} is in ${asked.city}.`,
    `The number of ${other.item.many} is ${other.count}.`,
  ].join(' ');
}

function giving(dice) {
  const fact = drawFact(dice);
  fact.count = dice.between(3, 12);
  const friend = drawFact(dice).who;
  const given = dice.between(1, fact.count - 2);
  const left = fact.count - given;
  return [
    tell(dice, fact),
    `On ${dice.pick(days)} ${fact.who} meets ${friend}.`,
    `${fact.who} gives ${numbers[given]} ${given === 1 ? fact.item.one : fact.item.many} to ${friend}.`,
    `Now ${fact.who} has ${numbers[left]} ${fact.item.many}, and ${friend} has ${numbers[given]}.`,
    `${friend} is ${dice.pick(moods)}, and ${fact.who} is ${dice.pick(moods)}.`,
  ].join(' ');
}

function talk(dice) {
  const fact = drawFact(dice);
  const friend = drawFact(dice).who;
  return [
    `"Hello, ${fact.who}," says ${friend}.`,
    `"I am in ${fact.city}," says ${fact.who}. "I have ${phrase(dice, fact)}."`,
    `"So you have ${fact.count} ${named(fact)} in ${fact.city}," says ${friend}.`,
    `${fact.who} smiles: "Yes, ${friend}, ${fact.count} ${named(fact)}, ${fact.color} and new."`,
  ].join('\n');
}

function shopping(dice) {
  const [a, b, c] = dice.shuffle(items);
  const fact = drawFact(dice);
  const price = dice.between(2, 12);
  return [
    `${fact.who} goes to the market in ${fact.city} and buys three things: one ${a.one}, one ${b.one} and ` +
      `one ${c.one}.`,
    `The ${a.one} costs ${price} coins: ${numbers[price]}.`,
    `At home in ${fact.city}, ${fact.who} has ${isVowel(a.one) ? 'an' : 'a'} ${a.one}, ` +
      `${isVowel(b.one) ? 'an' : 'a'} ${b.one} and ${isVowel(c.one) ? 'an' : 'a'} ${c.one}.`,
  ].join(' ');
}

/** Words without sense, said twice: the shortest lesson in repeating what stands before. */
function memoryGame(dice) {
  const word = () =>
    dice.pick([
      inventName(dice),
      inventCity(dice),
      dice.pick(items).one,
      dice.pick(colors),
      dice.pick(cities),
      dice.pick([...women, ...men]),
      dice.pick(numbers),
    ]);
  const said = Array.from({ length: dice.between(4, 9) }, word).join(' ');
  const [a, b] = [drawFact(dice).who, drawFact(dice).who];
  return `${a} says: ${said}. ${b} says: ${said}.`;
}

/** A fact said by one person and repeated word by word by another. */
function hearsay(dice) {
  const fact = drawFact(dice);
  const said = tell(dice, fact).slice(0, -1);
  const [a, b] = [drawFact(dice).who, drawFact(dice).who];
  return `${a} says: ${said}. ${b} asks: ${said}? Yes -- ${dice.pick(echoes)(dice, fact)}`;
}

function sets(dice) {
  const count = dice.between(2, 4);
  const members = dice.shuffle([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).slice(0, count);
  const noun = dice.pick(items);
  return (
    `The set { ${members.join(', ')} } has ${numbers[count]} numbers. In words: ` +
    `${members.map((n) => numbers[n]).join(', ')}. One ${noun.one} and two ${noun.many} are three ${noun.many}.`
  );
}

/** Repeated as often as they are wanted. */
const kinds = [
  restated,
  restated,
  restated,
  restated,
  restated,
  restated,
  twoPeople,
  twoPeople,
  memoryGame,
  memoryGame,
  memoryGame,
  hearsay,
  hearsay,
  giving,
  talk,
  shopping,
  sets,
];

/** @returns {string[]} `count` stories; the same seed gives the same stories */
export function makeStories(count, seed = 1) {
  const dice = makeDice(seed);
  return Array.from({ length: count }, () => dice.pick(kinds)(dice));
}
