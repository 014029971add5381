import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { squeeze } from './squeeze.ts'

// For development: `muster up` in one terminal, `npx vite` in another. The page's security policy holds for the
// built bundle alone; the browser tests run against that.
const server = process.env.MUSTER_DEV_SERVER ?? 'http://127.0.0.1:8080'

export default defineConfig({
  base: '/console/',
  plugins: [react(), squeeze()],
  build: {
    outDir: 'dist/site',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: 'licences.md' },
    // Says which plugin took how long; squeeze takes longest, as it should.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { '/v1': server, '/console/api': server, '/console/live': { target: server, ws: true } } },
})
