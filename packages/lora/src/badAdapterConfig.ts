import { LowrankError, shown } from '@lowrank/errors';

/** What is wrong with a key of adapter_config.json: an error `lora.adapterConfig`. */
export function badAdapterConfig(
  key: string,
  about: { readonly file: string; readonly expected: string; readonly got: unknown; readonly remedy?: string },
): LowrankError {
  return new LowrankError({
    code: 'lora.adapterConfig',
    what: `${key} in ${about.file}`,
    expected: about.expected,
    got: shown(about.got),
    remedy: about.remedy,
  });
}
