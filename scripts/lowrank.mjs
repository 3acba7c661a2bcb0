// `pnpm --silent lowrank …` and `npm run --silent lowrank -- …`: the built command line. stdout is the command's alone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './lib/paths.mjs';

const cli = join(root, 'packages/lowrank/dist/cli.js');
if (existsSync(cli)) {
  process.argv[1] = cli;
  await import(pathToFileURL(cli).href);
} else {
  console.error(
    'lowrank is not built: expected packages/lowrank/dist/cli.js. Run `pnpm build` (or `npm test`, which ' +
      'builds) first.',
  );
  process.exitCode = 2;
}
