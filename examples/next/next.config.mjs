/** @type {import('next').NextConfig} */
export default {
  // Threads, WebAssembly and Dawn are files of the packages: Node loads them from there.
  serverExternalPackages: ['lowrank'],
};
