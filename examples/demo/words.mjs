/** The small world that the demo's texts speak about, and the seeded dice that choose from it. */

/** mulberry32: 32 bits of state, the same numbers on every machine. */
export function makeDice(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n) => Math.floor(next() * n);
  return {
    next,
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (p) => next() < p,
    pick: (list) => list[below(list.length)],
    shuffle(list) {
      const out = [...list];
      for (let i = out.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    },
  };
}

const words = (text) => text.trim().split(/\s+/);

export const women = words(
  'Anna Clara Ella Frida Hanna Ines Julia Lena Maria Nora Olga Paula Rosa Sofia Tina Vera Wanda Zoe Mila Lucy',
);
export const men = words(
  'Ben David Emil Felix Georg Hugo Ivan Jonas Karl Leo Max Noah Oscar Peter Ravi Sam Tom Viktor Omar Yusuf',
);
export const cities = words(
  'Oslo Rome Paris Vienna Lisbon Madrid Berlin Prague Dublin Athens Cairo Delhi Tokyo Lima Boston Quito ' +
    'Zurich Turin Lagos Hanoi Seoul Bergen Geneva Kyoto',
);
export const days = words('Monday Tuesday Wednesday Thursday Friday Saturday Sunday');
export const colors = words(
  'red blue green yellow white black brown pink gray purple silver golden violet scarlet beige ivory olive ' +
    'amber coral indigo',
);
export const numbers = words('zero one two three four five six seven eight nine ten eleven twelve');
export const moods = words('happy sad tired proud calm hungry');

const irregular = {
  knife: 'knives',
  box: 'boxes',
  brush: 'brushes',
  berry: 'berries',
  watch: 'watches',
  dish: 'dishes',
  leaf: 'leaves',
  glass: 'glasses',
  mouse: 'mice',
};
const nouns = words(
  'apple book hat lamp chair bottle candle basket ball pen shoe coat shirt kite drum key coin flower stone ' +
    'clock cup plate spoon scarf boat ring bag plum horse cat dog bird knife box brush berry watch dish leaf ' +
    'glass mouse',
);
/** @type {{ one: string, many: string }[]} */
export const items = nouns.map((one) => ({ one, many: irregular[one] ?? `${one}s` }));

const onsets = words('b d f g h k l m n p r s t v w z br dr gr kl kr pl st tr sh');
const vowels = words('a e i o u ai ei ou');
const codas = ['', '', '', 'n', 'l', 'r', 's', 'k', 'm'];
const townEndings = words('burg ville stad ton field mark');

function syllables(dice, count) {
  let out = '';
  for (let i = 0; i < count; i++) out += dice.pick(onsets) + dice.pick(vowels);
  return out;
}
const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** A name that is in no list, so that a reader must copy it rather than know it. */
export const inventName = (dice) =>
  capital(
    syllables(dice, dice.between(1, 2)) +
      dice.pick(onsets.slice(0, 16)) +
      dice.pick(vowels.slice(0, 5)) +
      dice.pick(codas),
  );
export const inventCity = (dice) => capital(syllables(dice, dice.between(1, 2)) + dice.pick(townEndings));

export const isKnownName = (name) => women.includes(name) || men.includes(name);
export const isKnownCity = (name) => cities.includes(name);
