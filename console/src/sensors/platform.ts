const PLATFORMS: Record<number, string> = {
  268435456: 'windows',
  536870912: 'linux',
  805306368: 'macos',
  1073741824: 'ios',
  1342177280: 'android',
  1610612736: 'chrome',
}
const ARCHITECTURES: Record<number, string> = { 1: 'x86', 2: 'x64', 3: 'arm', 4: 'arm64', 5: 'alpine64' }
export const platformOf = (plat: number) => PLATFORMS[plat] ?? `0x${plat.toString(16)}`
export const architectureOf = (arch: number) => ARCHITECTURES[arch] ?? String(arch)
