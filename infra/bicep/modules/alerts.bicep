// Alert rules on the events of shared/events.py, whose names stay. Each log line begins with the name of its event and, where it is
// about a job, "job <id>: "; a rule tells the job apart, so that one bad mailbox is one alert.
param name string
param location string
param tags object
param insightsId string

@description('Who is told. Empty: nobody, the alerts are seen in the portal.')
param emails array

// Severity: 1 a person has to act, mail stands still; 2 look at it today; 3 look at it this week.
var events = [
  {
    event: 'job_paused'
    severity: 1
    meaning: 'Sign-in was refused or the config is wrong: nothing goes on until a person acts.'
  }
  {
    event: 'job_failing'
    severity: 1
    meaning: 'Three runs of a job in a row have failed.'
  }
  {
    event: 'secret_expired'
    severity: 1
    meaning: 'A secret or certificate that a job uses has expired.'
  }
  {
    event: 'job_overdue'
    severity: 2
    meaning: 'A job has been due for more than ten minutes and nothing took it up.'
  }
  {
    event: 'mail_waiting'
    severity: 2
    meaning: 'A message has waited for its ticket longer than its job allows.'
  }
  {
    event: 'message_parked'
    severity: 2
    meaning: 'A message was given up on. Its original is kept: GET /api/jobs/{id}/parked.'
  }
  {
    event: 'canary_missing'
    severity: 2
    meaning: 'A canary did not come back in time: mail does not reach the mailbox, or the job does not read it.'
  }
  {
    event: 'secret_expiring'
    severity: 3
    meaning: 'A secret or certificate that a job uses will expire soon.'
  }
  {
    event: 'audit_unwritten'
    severity: 2
    meaning: 'A change through the API went through, but its audit record could not be stored. The log line has it.'
  }
  {
    event: 'seed_unusable'
    severity: 3
    meaning: 'A job that the deployment brings cannot be made. The log line says what is wrong with it.'
  }
  {
    event: 'timers_unread'
    severity: 3
    meaning: 'Storage did not answer in time at start. The sweep runs the jobs.'
  }
  {
    event: 'timer_unusable'
    severity: 3
    meaning: 'A row of the job table cannot have a timer. The sweep runs the job.'
  }
  {
    event: 'housekeeping_failed'
    severity: 3
    meaning: 'What has expired could not be removed. It is tried again.'
  }
  {
    event: 'run_request_unreadable'
    severity: 3
    meaning: 'Something on the run queue is not ours.'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: '${name}-alarms'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: take(name, 12)
    emailReceivers: [for (email, index) in emails: {
      name: 'person-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in events: {
  name: '${name}-${alert.event}'
  location: location
  tags: tags
  properties: {
    displayName: 'Mail Connector: ${alert.event}'
    description: alert.meaning
    severity: alert.severity
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'traces | where message startswith "${alert.event}: " | extend job = extract(@"^[a-z_]+: job ([^:]+): ", 1, message)'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          dimensions: [
            {
              name: 'job'
              operator: 'Include'
              values: [
                '*'
              ]
            }
          ]
        }
      ]
    }
    actions: {
      actionGroups: empty(emails) ? [] : [
        people.id
      ]
    }
  }
}]

// The alarm for the case in which nothing is left that could raise one.
resource silent 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${name}-silent'
  location: location
  tags: tags
  properties: {
    displayName: 'Mail Connector: silent'
    description: 'The sweep, which runs every minute, has not run for a quarter of an hour: the app does not run, or its logs do not arrive.'
    severity: 1
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'requests | where operation_Name == "sweep"'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
        }
      ]
    }
    actions: {
      actionGroups: empty(emails) ? [] : [
        people.id
      ]
    }
  }
}
