import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './look/tokens.css'
import './look/base.css'
import './look/parts.css'
import { queries, router } from './routes.tsx'
import { applyTheme, chosenTheme } from './shell/settings.ts'

applyTheme(chosenTheme())
const host = document.getElementById('app')
if (host)
  createRoot(host).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  )
