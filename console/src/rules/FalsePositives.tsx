import { FALSE_POSITIVES } from './kinds.ts'
import { RuleList } from './List.tsx'

export const FalsePositives = () => <RuleList kind={FALSE_POSITIVES} />
