import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** Writes FILE.br and FILE.gz beside every file of the bundle: the server embeds these and compresses nothing. */
export const squeeze = (): Plugin => ({
  name: 'squeeze',
  apply: 'build',
  writeBundle({ dir = 'dist' }) {
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || /\.(br|gz)$/.test(entry.name)) continue
      const file = join(entry.parentPath, entry.name)
      const plain = readFileSync(file)
      const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length }
      writeFileSync(`${file}.br`, brotliCompressSync(plain, { params }))
      writeFileSync(`${file}.gz`, gzipSync(plain, { level: 9 }))
    }
  },
})
