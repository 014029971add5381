import { RULES } from './kinds.ts'
import { RuleList } from './List.tsx'

export const Rules = () => <RuleList kind={RULES} />
