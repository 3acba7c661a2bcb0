import { existsSync, readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../../packages/', import.meta.url);
const repository = 'https://github.com/lowrank/lowrank/blob/main';

/** A page for each package: its README, which npm shows too. Links to other files of the package lead to the repository. */
export default {
  watch: ['../../packages/*/README.md'],
  paths(): { params: { name: string }; content: string }[] {
    return readdirSync(folder).sort().map((name) => {
      const readme = new URL(`${name}/README.md`, folder);
      const content = existsSync(readme) ? readFileSync(readme, 'utf8') : `# ${name}\n`;
      return { params: { name }, content: content.replaceAll('](./', `](${repository}/packages/${name}/`).replaceAll('](../../', `](${repository}/`) };
    });
  },
};
