/** Parts of a path as one: of Node's file systems (Windows takes slashes too) and of browsers' alike. */
export function joinPath(...parts: readonly string[]): string {
  const [first = '', ...others] = parts.filter((part) => part !== '');
  return others.reduce((path, part) => `${path.replace(/\/+$/, '')}/${part}`, first);
}

/** The folder of a path, `.` where it names none; the root is its own. */
export function folderOf(path: string): string {
  const [, folder = '.'] = /^(.*)[/\\][^/\\]*$/s.exec(path.replace(/[/\\]+$/, '')) ?? [];
  return folder === '' ? '/' : folder;
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return /[^/\\]*$/.exec(path.replace(/[/\\]+$/, ''))?.[0] ?? '';
}
