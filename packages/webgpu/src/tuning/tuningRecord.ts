/** What was decided for a class of products. */
export interface Decision {
  /** The name of a form; undefined for what the table says. */
  readonly form: string | undefined;
  /** Milliseconds of a launch in the table's form and in the fastest; undefined where time was up before. */
  readonly table?: number | undefined;
  readonly best?: number | undefined;
}

export type Decisions = ReadonlyMap<string, Decision>;

/** What decisions hold for: another device, driver, browser or version of Lowrank measures anew. */
export interface TuningScope {
  readonly version: string;
  readonly device: string;
}

const format = 1;

/** The text that is kept of decisions. */
export function writeDecisions(decisions: Decisions, { version, device }: TuningScope): string {
  const choices = Object.fromEntries([...decisions].sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ format, version, device, sum: checksum(choices), choices }, undefined, 2)}\n`;
}

/**
 * The decisions in a text; undefined for one that is damaged, or of another scope: what is not beyond doubt is measured
 * again. Without a scope any will do.
 */
export function readDecisions(text: string, scope?: TuningScope): Decisions | undefined {
  let json: Partial<Record<'format' | 'version' | 'device' | 'sum' | 'choices', unknown>> | null;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null || json.format !== format) return undefined;
  const { choices } = json;
  if (typeof choices !== 'object' || choices === null || json.sum !== checksum(choices)) return undefined;
  if (scope !== undefined && (json.version !== scope.version || json.device !== scope.device)) return undefined;
  const decisions = new Map<string, Decision>();
  for (const [key, value] of Object.entries(choices)) {
    if (!isDecision(value)) return undefined;
    decisions.set(key, value);
  }
  return decisions;
}

function isDecision(value: unknown): value is Decision {
  if (typeof value !== 'object' || value === null) return false;
  const { form, table, best } = value as Partial<Record<keyof Decision, unknown>>;
  const isTime = (time: unknown): boolean => time === undefined || (typeof time === 'number' && time > 0);
  return (form === undefined || typeof form === 'string') && isTime(table) && isTime(best);
}

/** FNV-1a over the text of a value: a file that was cut off or edited does not have it. */
function checksum(value: object): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(JSON.stringify(value))) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
