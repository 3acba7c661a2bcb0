import { existsSync, readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../../packages/', import.meta.url);
const repository = 'https://github.com/lowrank/lowrank/blob/main';

/** A README's links lead to the page of another package, or to the repository. */
function relinked(readme: string, name: string): string {
  return readme
    .replaceAll(/\]\(\.\.\/([a-z]+)(?:\/(?:README\.md)?)?\)/g, '](./$1)')
    .replaceAll('](../../', `](${repository}/`)
    .replaceAll(/\]\(\.\/(?=[^)]*\.)/g, `](${repository}/packages/${name}/`);
}

/** A page for each package: its README, which npm shows too. */
export default {
  watch: ['../../packages/*/README.md'],
  paths(): { params: { name: string }; content: string }[] {
    return readdirSync(folder)
      .sort()
      .map((name) => {
        const readme = new URL(`${name}/README.md`, folder);
        return {
          params: { name },
          content: existsSync(readme) ? relinked(readFileSync(readme, 'utf8'), name) : `# ${name}\n`,
        };
      });
  },
};
