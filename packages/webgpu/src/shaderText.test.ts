import { expect, test } from 'vitest';
import { splitShader } from './shaderText.js';

const main = (attributes: string): string => `var<workgroup> tile: array<f32, 64>;
@compute ${attributes}
fn main(@builtin(workgroup_id) wid: vec3<u32>) {
  if (wid.x == 0u) { tile[0] = 1; }
}
fn after() -> u32 { return 1u; }`;

test.each(['@workgroup_size(64)', '@workgroup_size(8, 8) @subgroup_size(32)'])(
  'takes apart a main with %s',
  (given) => {
    expect(splitShader(main(given))).toEqual({
      attributes: given,
      builtins: [{ builtin: 'workgroup_id', name: 'wid', type: 'vec3<u32>' }],
      declarations: ['var<workgroup> tile: array<f32, 64>;', 'fn after() -> u32 { return 1u; }'],
      body: '\n  if (wid.x == 0u) { tile[0] = 1; }\n',
    });
  },
);

test('is undefined without a main of the usual form', () => {
  expect(splitShader('fn other() {}')).toBeUndefined();
});
