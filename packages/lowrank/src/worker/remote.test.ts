import { expect, test } from 'vitest';
import * as frontDoor from '../index.js';

/** What needs no worker, and what makes or takes things that stay in one. */
const local = ['LowrankError', 'chooseBackend', 'holdState', 'isLowrankError', 'methodNames', 'resizeTokens'];
/** The members of `FrontDoor`. */
const remote = ['fineTune', 'loadModel'];

test('what the front door exports crosses to a worker, or needs none', () => {
  expect(Object.keys(frontDoor).sort()).toEqual([...local, ...remote].sort());
});
