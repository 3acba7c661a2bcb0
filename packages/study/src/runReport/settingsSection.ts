import { shown } from '@lowrank/errors';
import { escapeMarkup } from '../markup.js';
import { format } from '../tables/format.js';
import type { ReportedInput, ReportedRun } from './reportedRun.js';

/** What decided the run: places, settings with defaults, what was read. */
export function settingsSection({ method, places, settings, given, inputs }: ReportedRun): string[] {
  const chosen = Object.entries(settings).filter(([name]) => isGiven(given, name));
  const byDefault = Object.entries(settings).filter(([name]) => !isGiven(given, name));
  const isKnown = ([, value]: readonly [string, unknown]): boolean => value !== undefined && value !== null;
  return [
    '<h2>Configuration</h2>',
    table([...Object.entries(places), ['method', method], ...chosen]),
    '<details><summary>Settings that were not given</summary>',
    table(byDefault.filter(isKnown)),
    '</details>',
    ...inputSection(inputs),
  ];
}

function isGiven(given: Readonly<Record<string, unknown>>, name: string): boolean {
  return Object.hasOwn(given, name);
}

function table(rows: readonly (readonly [name: string, value: unknown])[]): string {
  const cells = rows.map(
    ([name, value]) => `<tr><th scope="row">${escapeMarkup(name)}</th><td>${escapeMarkup(valueText(value))}</td></tr>`,
  );
  return `<table class="settings"><tbody>${cells.join('')}</tbody></table>`;
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? shortened(value, 500) : shown(value, 500);
}

function inputSection(inputs: readonly ReportedInput[]): string[] {
  const files = inputs.flatMap(({ role, path, files: read }) =>
    read.map(({ name, bytes, sha256 }) => ({ role, path: name === '' ? path : `${path}/${name}`, bytes, sha256 })),
  );
  if (files.length === 0) return [];
  const rows = files.map(
    ({ role, path, bytes, sha256 }) =>
      `<tr><th scope="row">${escapeMarkup(role)}</th><td>${escapeMarkup(shortened(path, 500))}<br><small>` +
      `${format.bytes(bytes)}, SHA-256 ${escapeMarkup(sha256.slice(0, 16))}…</small></td></tr>`,
  );
  return [
    '<details><summary>What it read</summary>',
    `<table class="settings"><tbody>${rows.join('')}</tbody></table>`,
    '</details>',
  ];
}

/** A text with its end left out where it is long. */
export function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
