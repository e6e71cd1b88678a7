import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { brazil } from './build/brazil.ts';

// `npm run dev` shows the page that a running program would serve: RECARGA_URL names that program.
const program = process.env.RECARGA_URL ?? 'http://127.0.0.1:8001';

export default defineConfig(({ mode }) => ({
  base: './',
  plugins: [svelte(), brazil()],
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: { proxy: { '^/(?!src/|@|node_modules/|icon\\.svg|index\\.html|build/|$)': program } },
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.ts'],
    setupFiles: ['tests/setup.ts'],
    // Its colours are tested, too.
    css: { include: [/app\.css/] },
    // Whoever looks is in Salvador: three hours behind UTC.
    env: { TZ: 'America/Bahia' },
  },
}));
