import { LowrankError } from '@lowrank/errors';

/** What an embedding in 8-bit rows does not take. */
export function tableInCodes(path: string, what: string): LowrankError {
  return new LowrankError({
    code: 'patch.codes',
    what: (names) => `${what} at ${path}, which ${names('quantizeEmbeddings')} keeps in codes`,
    expected: 'an embedding in f32, f16 or bf16',
    got: '8-bit rows, which stay as they are',
    remedy: (names) => `Leave out ${names('quantizeEmbeddings')}, or leave ${path} as it is.`,
    setting: 'quantizeEmbeddings',
  });
}
