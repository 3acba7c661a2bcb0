import { loraSettings } from '@lowrank/lora';
import type { Setting } from '@lowrank/settings';
import { SameAs } from '@lowrank/settings';
import { commonTables, methodTables } from './methodTables.js';
import { snakeCase } from './snakeCase.js';

const schemaUrl = 'https://raw.githubusercontent.com/lowrank/lowrank/main/packages/lowrank/run.schema.json';

/**
 * A configuration file of `lowrank train` in YAML: the settings that are chosen, then all others as comments, each with
 * its sentence and its default.
 *
 * @param facts what was seen of the model and the rows, by the setting it stands beside
 */
export function runFileText(
  settings: Readonly<Record<string, unknown>>,
  facts: Readonly<Record<string, string>>,
): string {
  const all = declared();
  const chosen = Object.entries(settings).flatMap(([name, value]) => {
    const notes = [all.get(name)?.help, facts[name]].filter((text) => text !== undefined);
    return [...notes.map((text) => `# ${text}`), `${name}: ${valueText(value)}`];
  });
  const others = [...all]
    .filter(([name]) => !Object.hasOwn(settings, name))
    .flatMap(([name, setting]) => [`# ${setting.help}`, `# ${name}: ${defaultText(setting)}`]);
  return [
    `# yaml-language-server: $schema=${schemaUrl}`,
    '# A training run of Lowrank: lowrank train FILE. Flags override what is set here.',
    '',
    ...chosen,
    '',
    '# What else there is:',
    '',
    ...others,
    '',
  ].join('\n');
}

/** The settings of a LoRA run by the names of files. */
function declared(): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const table of [...commonTables, loraSettings, ...methodTables.lora])
    for (const [name, setting] of Object.entries<Setting>(table.settings))
      if (setting.flag !== false && setting.fields === undefined && !settings.has(snakeCase(name)))
        settings.set(snakeCase(name), setting);
  return settings;
}

function defaultText({ default: value, otherwise }: Setting): string {
  if (value instanceof SameAs) return `# as ${snakeCase(value.setting)}`;
  return value === undefined ? `# ${otherwise ?? ''}`.trimEnd() : valueText(value);
}

/** JSON is YAML; texts without anything special stand without quotes, numbers as every reader takes them. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[a-z./][\w./-]*$/i.test(value)) return value;
  return JSON.stringify(value).replace(/^(-?\d+)(e-?\d+)$/, '$1.0$2');
}
