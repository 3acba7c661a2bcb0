// `npm run build`: installs what is missing, then builds every package.
import { build, install } from './lib/workspace.mjs';

try {
  await install();
  await build();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
