import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Loopback } from './loopback';
import { loopback } from './loopback';

/**
 * A registry that has the packed packages, as if they were published; whatever else is asked for it leaves to the one
 * that npm is set up for.
 */
export async function packageRegistry(tarballs: string): Promise<Loopback> {
  const upstream = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim().replace(/\/$/, '');
  const packed = new Map(readdirSync(tarballs).map((file) => published(tarballs, file)));
  const registry: Loopback = await loopback((request, response) => {
    const path = decodeURIComponent(request.url ?? '/').slice(1);
    const file = /^tarballs\/([\w.-]+)$/.exec(path)?.[1];
    const found = packed.get(path);
    if (file !== undefined) response.end(readFileSync(join(tarballs, file)));
    else if (found === undefined) response.writeHead(307, { Location: `${upstream}${request.url}` }).end();
    else {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(found(registry.url)));
    }
  });
  return registry;
}

/** What a registry says of a package. */
function published(tarballs: string, file: string): [name: string, document: (url: string) => object] {
  const path = join(tarballs, file);
  const text = execFileSync('tar', ['-xzOf', path, 'package/package.json'], { encoding: 'utf8' });
  const manifest = JSON.parse(text) as { readonly name: string; readonly version: string };
  const { name, version } = manifest;
  const integrity = `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
  const document = (url: string): object => ({
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, dist: { tarball: `${url}/tarballs/${file}`, integrity } } },
    time: { [version]: '2026-01-01T00:00:00.000Z' },
  });
  return [name, document];
}
