import { LowrankError } from 'lowrank';
import { expect, test } from 'vitest';
import { faultOf } from './faults';

const error = (code: string): LowrankError => new LowrankError({ code, what: 'it', expected: 'this', got: 'that' });

test('what went wrong has a title that says what it is about, and its own sentence', () => {
  expect(faultOf(error('webgpu.device-lost'), 'x')).toMatchObject({ title: 'The GPU was lost' });
  expect(faultOf(error('data.rowForm'), 'x').title).toMatch(/rows/);
  expect(faultOf(error('models.noFile'), 'x').title).toMatch(/model/);
  expect(faultOf(error('models.offline'), 'x').title).toMatch(/download/);
  expect(faultOf(error('patch.adapterMismatch'), 'x').title).toMatch(/adapter/);
  expect(faultOf(new DOMException('full', 'QuotaExceededError'), 'x').title).toMatch(/no room/);
  expect(faultOf(new TypeError('odd'), 'This went wrong')).toEqual({
    title: 'This went wrong',
    text: 'odd',
    remedy: undefined,
    code: undefined,
  });
});
