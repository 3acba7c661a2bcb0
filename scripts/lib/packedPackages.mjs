/** What to tell where they are not tried. */
export const howToTryPackages = 'they install seven bundlers and four versions of Node: LOWRANK_PACKAGES=1 npm test';

/**
 * Whether the packed packages are tried in bundlers and runtimes: in CI, and where they are asked for.
 *
 * @param {Record<string, string | undefined>} [env]
 */
export const wantsPackages = (env = process.env) => Boolean(env.CI) || env.LOWRANK_PACKAGES === '1';
