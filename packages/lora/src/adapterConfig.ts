import { isLowrankError, LowrankError, shown } from '@lowrank/errors';
import type { Settings } from '@lowrank/settings';
import { configWarnings, readConfig, writeConfig } from '@lowrank/settings';
import { checkLoraConfig } from './checkConfig.js';
import type { LoraConfig } from './config.js';
import { loraConfig } from './config.js';
import { badAdapterConfig } from './badAdapterConfig.js';
import { loraSettings } from './settings.js';
import { readTokensConfig, writeTokensConfig } from './tokensConfig.js';
import type { NamedVariant } from './variant.js';

/** What a file says of a variant of your own: PEFT refuses it, rather than compute something else. */
const ownPeftType = 'LOWRANK';

/**
 * Reads PEFT's adapter_config.json, or one of a variant among `variants`. Refuses, by name, settings that
 * change what an adapter computes and that Lowrank does not have; `settingWarnings` lists the others that it ignores.
 *
 * @throws LowrankError `lora.adapterConfig` and `lora.config`
 */
export function parseAdapterConfig(
  json: unknown,
  name = 'adapter_config.json',
  variants: readonly NamedVariant[] = [],
): LoraConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw badAdapterConfig('the content', { file: name, expected: 'a JSON object', got: json });
  const given = json as Readonly<Record<string, unknown>>;
  const variant = variantIn(given, name, variants);
  const peftType = given['peft_type'];
  const tokensAlone = peftType === 'TRAINABLE_TOKENS';
  if (!tokensAlone && peftType !== (variant === undefined ? 'LORA' : ownPeftType))
    throw badAdapterConfig('peft_type', {
      file: name,
      expected: '"LORA" or "TRAINABLE_TOKENS"',
      got: peftType,
      remedy: 'Lowrank reads LoRA adapters.',
    });
  if (tokensAlone) return readTokensConfig(given, name);
  const { targetModules = [], ...options } = readConfig(loraSettings, given, {
    file: name,
    typeCode: 'lora.adapterConfig',
  });
  try {
    return checkLoraConfig(loraConfig({ ...options, targetModules, variant }));
  } catch (error) {
    throw inFile(error, name);
  }
}

/** The user's variant that a file names, among those given. */
function variantIn(
  given: Readonly<Record<string, unknown>>,
  file: string,
  variants: readonly NamedVariant[],
): NamedVariant | undefined {
  const asked = given['lowrank_variant'];
  if (asked === undefined) return undefined;
  const found = variants.find(({ name }) => name === asked);
  if (found !== undefined) return found;
  const names = variants.map(({ name }) => name).join(', ');
  throw badAdapterConfig('lowrank_variant', {
    file,
    expected: names === '' ? 'none, or its variant to be given' : `one of ${names}`,
    got: asked,
    remedy: 'Give the variant that it was trained with: readAdapter({ …, variants }).',
  });
}

/** An error about settings, in the names that a file has for them. */
function inFile(error: unknown, file: string): unknown {
  if (!isLowrankError(error)) return error;
  const message = error.messageWith((setting, value) => {
    const key = keyOf(setting);
    return value === undefined ? key : `${key} ${shown(value)}`;
  });
  return new LowrankError({ code: error.code, what: `${file}: ${message}`, setting: error.setting, cause: error });
}

function keyOf(name: string): string {
  const { settings } = loraSettings;
  return Object.hasOwn(settings, name) ? ((settings as Settings)[name]?.key ?? name) : name;
}

/** What of an adapter_config.json is left aside, as sentences. */
export function settingWarnings(given: Readonly<Record<string, unknown>>, name: string): string[] {
  const { init_lora_weights: init } = given;
  const drawn =
    typeof init === 'string' && init.startsWith('pissa_niter_')
      ? [
          `${name}: init_lora_weights = ${init}: what PEFT took off the base was drawn at random; here it is ` +
            'computed again by as many steps, and differs by what they leave open (convert it in PEFT: ' +
            'path_initial_model_for_weight_conversion)',
        ]
      : [];
  return [...drawn, ...configWarnings(loraSettings, given, name)];
}

/**
 * PEFT's adapter_config.json: sorted keys, indent 2, ready for inference. The patterns keep their order, since the
 * first key that matches counts.
 */
export function serializeAdapterConfig(config: LoraConfig): string {
  const { variant, peftType, taskType, autoMapping } = config;
  const fields =
    peftType === 'TRAINABLE_TOKENS'
      ? writeTokensConfig(config)
      : writeConfig(loraSettings, config, {
          inference_mode: true,
          peft_type: variant === undefined ? 'LORA' : ownPeftType,
          ...(variant === undefined ? {} : { lowrank_variant: variant.name }),
          ...(autoMapping !== undefined && taskType === undefined && { task_type: null }),
        });
  return `${JSON.stringify(fields, null, 2)}\n`;
}
